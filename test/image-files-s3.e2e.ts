import { describeImageFiles } from './image-files-suite.js';
import { keepInBucket } from './kept-files.js';

describeImageFiles('s3', keepInBucket);
