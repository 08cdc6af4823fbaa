import { Injectable } from '@nestjs/common';

/** Which driver a part of the product runs on, as `GET /health/capabilities` tells. */
export interface Capability {
  /** `database`, `queue`, `files`, … */
  readonly part: string;
  readonly driver: string;
  /** True for the default that needs nothing installed. */
  readonly embedded: boolean;
}

/** Each part registers the driver that it chose, so that nothing here has to know the parts. */
@Injectable()
export class Capabilities {
  private readonly byPart = new Map<string, Capability>();

  register(capability: Capability): void {
    this.byPart.set(capability.part, capability);
  }

  list(): Capability[] {
    return [...this.byPart.values()].sort((a, b) => a.part.localeCompare(b.part));
  }
}
