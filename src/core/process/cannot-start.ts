/** A reason not to start that the operator can act on: printed as it is, without a stack. */
export class CannotStart extends Error {
  override readonly name = 'CannotStart';
}
