import { describeResumableUploads } from './resumable-uploads-suite.js';
import { keepInBucket } from './kept-files.js';

describeResumableUploads('s3', keepInBucket);
