import { Body, Controller, Delete, Get, HttpCode, Post } from '@nestjs/common';
import { Operation } from '../../core/openapi/openapi.js';
import {
  tooManyRequests,
  unsupportedMediaType,
  validationFailed,
} from '../../core/problems/problem.js';
import { CurrentUser, type Principal } from '../access/principal.js';
import { OWNER_PROBLEMS } from '../passwords/owner-check.js';
import {
  tooManyCodes,
  totpOff,
  totpOn,
  totpUnreadable,
  wrongCode,
} from '../second-factor/second-factor.problems.js';
import {
  recoveryCodesRequestSchema,
  type RecoveryCodesRequest,
  recoveryCodesSchema,
  type TotpConfirmation,
  totpConfirmationSchema,
  type TotpRemoval,
  totpRemovalSchema,
  type TotpRequest,
  totpRequestSchema,
  totpSecretSchema,
  totpStateSchema,
} from './totp.schema.js';
import { TotpSettings } from './totp-settings.service.js';

/** What goes wrong wherever a body is sent that holds a code. */
const CODE_PROBLEMS = [
  tooManyCodes,
  tooManyRequests,
  totpOff,
  totpUnreadable,
  unsupportedMediaType,
  validationFailed,
  wrongCode,
];

/** Two factors for one's own account. */
@Controller('api/v1/me/totp')
export class TotpSettingsController {
  constructor(private readonly settings: TotpSettings) {}

  @Get()
  @Operation({
    summary: 'Show whether signing in asks for a code',
    answers: { 200: { description: 'As it is', schema: totpStateSchema } },
  })
  show(@CurrentUser() user: Principal) {
    return this.settings.state(user);
  }

  @Post()
  @HttpCode(200)
  @Operation({
    summary: 'Ask for the secret of an authenticator',
    description:
      'Two factors are on once a code has confirmed that the authenticator has it. Until then, to ask ' +
      'again answers another one.',
    answers: { 200: { description: 'A secret, shown once', schema: totpSecretSchema } },
    problems: [...OWNER_PROBLEMS, totpOn, unsupportedMediaType, validationFailed],
  })
  request(@CurrentUser() user: Principal, @Body({ schema: totpRequestSchema }) body: TotpRequest) {
    return this.settings.request(user, body);
  }

  @Post('confirmation')
  @HttpCode(200)
  @Operation({
    summary: 'Switch two factors on',
    description: 'With a code that the authenticator shows. Sessions that have begun go on.',
    answers: { 200: { description: 'On; the recovery codes', schema: recoveryCodesSchema } },
    problems: [...CODE_PROBLEMS, totpOn],
  })
  confirm(
    @CurrentUser() user: Principal,
    @Body({ schema: totpConfirmationSchema }) body: TotpConfirmation,
  ) {
    return this.settings.confirm(user, body);
  }

  @Post('recovery-codes')
  @HttpCode(200)
  @Operation({
    summary: 'Have other recovery codes made',
    description: 'Those that are left are good no more.',
    answers: { 200: { description: 'The new codes', schema: recoveryCodesSchema } },
    problems: [...CODE_PROBLEMS, ...OWNER_PROBLEMS],
  })
  replaceRecoveryCodes(
    @CurrentUser() user: Principal,
    @Body({ schema: recoveryCodesRequestSchema }) body: RecoveryCodesRequest,
  ) {
    return this.settings.replaceRecoveryCodes(user, body);
  }

  @Delete()
  @HttpCode(204)
  @Operation({
    summary: 'Switch two factors off',
    description: 'With a code of the authenticator, or a recovery code.',
    answers: { 204: { description: 'Off; secret and recovery codes are forgotten' } },
    problems: [...CODE_PROBLEMS, ...OWNER_PROBLEMS],
  })
  switchOff(
    @CurrentUser() user: Principal,
    @Body({ schema: totpRemovalSchema }) body: TotpRemoval,
  ) {
    return this.settings.switchOff(user, body);
  }
}
