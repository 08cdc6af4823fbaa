import { describeFiles } from './files-suite.js';
import { keepOnDisk } from './kept-files.js';

describeFiles('disk', keepOnDisk);
