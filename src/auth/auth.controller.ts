import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { Operation } from '../core/openapi/openapi.js';
import { unsupportedMediaType, validationFailed } from '../core/problems/problem.js';
import { Public } from '../core/http/public.js';
import { emailTaken, invalidCredentials } from './auth.problems.js';
import {
  type Login,
  loginSchema,
  type Register,
  registerSchema,
  signInSchema,
} from './auth.schema.js';
import { AuthService } from './auth.service.js';

/** Registering and signing in. */
@Controller('api/v1/auth')
export class AuthController {
  constructor(private readonly auth: AuthService) {}

  @Post('register')
  @Public()
  @Operation({
    summary: 'Make an account and sign in',
    description: 'Makes a studio and its owner, or with `kind: "personal"` an account alone.',
    answers: { 201: { description: 'Registered and signed in', schema: signInSchema } },
    problems: [emailTaken, unsupportedMediaType, validationFailed],
  })
  register(@Body({ schema: registerSchema }) body: Register) {
    return this.auth.register(body);
  }

  @Post('login')
  @Public()
  @HttpCode(200)
  @Operation({
    summary: 'Sign in with e-mail and password',
    answers: { 200: { description: 'Signed in', schema: signInSchema } },
    problems: [invalidCredentials, unsupportedMediaType, validationFailed],
  })
  login(@Body({ schema: loginSchema }) body: Login) {
    return this.auth.login(body);
  }
}
