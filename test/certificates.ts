import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

/**
 * X.509 certificates (RFC 5280) made while tests run: no private key lies in the repository, none
 * expires, and no tool has to be installed. Only what a TLS handshake looks at is in them.
 */
export interface Certificate {
  /** PEM. */
  certificate: string;
  /** PEM. */
  key: string;
}

const OID = {
  commonName: [0x55, 0x04, 0x03],
  basicConstraints: [0x55, 0x1d, 0x13],
  subjectAltName: [0x55, 0x1d, 0x11],
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
};

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  time: 0x17,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
  extensions: 0xa3,
  dnsName: 0x82,
  ipAddress: 0x87,
};

const DAY_MS = 86_400_000;

/** An authority that signs certificates for hosts, and for clients, whose common name is their role. */
export class CertificateAuthority implements Certificate {
  readonly certificate: string;
  readonly key: string;
  private readonly pair = makeKeys();

  constructor(readonly name = 'Tests') {
    this.certificate = this.certify(name, this.pair.publicKey, [
      extension(OID.basicConstraints, sequence(der(TAG.boolean, [0xff]))),
    ]);
    this.key = pemOf(this.pair.privateKey);
  }

  /** @param hosts the names and IPv4 addresses that it is good for; none for a client's */
  issue(commonName: string, hosts: string[] = []): Certificate {
    const pair = makeKeys();
    const names = hosts.map((host) =>
      isIP(host)
        ? der(TAG.ipAddress, host.split('.').map(Number))
        : der(TAG.dnsName, Buffer.from(host)),
    );
    const extensions = names.length > 0 ? [extension(OID.subjectAltName, sequence(...names))] : [];
    return {
      certificate: this.certify(commonName, pair.publicKey, extensions),
      key: pemOf(pair.privateKey),
    };
  }

  private certify(commonName: string, publicKey: KeyObject, extensions: Buffer[]): string {
    const algorithm = sequence(der(TAG.oid, OID.ecdsaWithSha256));
    const content = sequence(
      der(TAG.version, der(TAG.integer, [2])),
      der(TAG.integer, [0x01, ...randomBytes(8)]),
      algorithm,
      nameOf(this.name),
      sequence(time(Date.now() - DAY_MS), time(Date.now() + DAY_MS)),
      nameOf(commonName),
      publicKey.export({ type: 'spki', format: 'der' }),
      ...(extensions.length > 0 ? [der(TAG.extensions, sequence(...extensions))] : []),
    );
    const signature = sign('sha256', content, this.pair.privateKey);
    const whole = sequence(content, algorithm, der(TAG.bitString, [0, ...signature]));
    const lines = whole
      .toString('base64')
      .match(/.{1,64}/g)
      ?.join('\n');
    return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
  }
}

function makeKeys() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function nameOf(commonName: string): Buffer {
  const value = der(TAG.utf8, Buffer.from(commonName));
  return sequence(der(TAG.set, sequence(der(TAG.oid, OID.commonName), value)));
}

function time(at: number): Buffer {
  const [date = ''] = new Date(at).toISOString().slice(2).replace(/[-:T]/g, '').split('.');
  return der(TAG.time, Buffer.from(`${date}Z`));
}

/** Each is critical. */
function extension(oid: number[], value: Buffer): Buffer {
  return sequence(der(TAG.oid, oid), der(TAG.boolean, [0xff]), der(TAG.octetString, value));
}

function sequence(...parts: Uint8Array[]): Buffer {
  return der(TAG.sequence, Buffer.concat(parts));
}

/** Tag, length, value (X.690). */
function der(tag: number, value: Uint8Array | number[]): Buffer {
  const { length } = value;
  const bytes =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...bytes]), Buffer.from(value)]);
}
