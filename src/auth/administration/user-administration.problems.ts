import { defineProblem } from '../../core/problems/problem.js';

export const ownAdminRole = defineProblem({
  code: 'own-admin-role',
  status: 409,
  title: 'Administrators keep their own role',
  help: 'Nobody can take the role of an administrator away from themselves, so that one is always left. Another administrator can.',
});

export const ownAccount = defineProblem({
  code: 'own-account',
  status: 409,
  title: 'Administrators cannot disable their own account',
  help: 'Nobody can shut themselves out, so that one administrator is always left. Another administrator can disable the account.',
});
