import { BlockList, isIPv6 } from 'node:net';
import type { Env } from '../env.js';
import { plainAddress } from './client-address.js';

/** Tells by its address whether somebody is one of the `TRUST_PROXY`, however the address is written. */
export function trustedProxies({ TRUST_PROXY }: Pick<Env, 'TRUST_PROXY'>) {
  const proxies = new BlockList();
  for (const network of TRUST_PROXY) {
    const [address = '', bits] = network.split('/');
    if (bits === undefined) proxies.addAddress(address, familyOf(address));
    else proxies.addSubnet(address, Number(bits), familyOf(address));
  }
  return (text: string | undefined): boolean => {
    const address = plainAddress(text);
    return address !== undefined && proxies.check(address, familyOf(address));
  };
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}
