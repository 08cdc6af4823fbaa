/**
 * Jest runs a CommonJS module while it still links those that import it. One that requires modules of
 * the same graph, as `@nestjs/throttler` does with these, finds them unready; Node runs them in order.
 */
import '@nestjs/common';
import '@nestjs/core';
