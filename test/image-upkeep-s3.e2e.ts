import { describeImageUpkeep } from './image-upkeep-suite.js';
import { keepInBucket } from './kept-files.js';

describeImageUpkeep('s3', keepInBucket);
