import { describeFileRemovals } from './file-removals-suite.js';
import { keepInBucket } from './kept-files.js';

describeFileRemovals('s3', keepInBucket);
