import { describeFiles } from './files-suite.js';
import { keepInBucket } from './kept-files.js';

describeFiles('s3', keepInBucket);
