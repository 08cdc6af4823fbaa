import { describeFileRemovals } from './file-removals-suite.js';
import { keepOnDisk } from './kept-files.js';

describeFileRemovals('disk', keepOnDisk);
