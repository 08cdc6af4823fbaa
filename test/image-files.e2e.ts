import { describeImageFiles } from './image-files-suite.js';
import { keepOnDisk } from './kept-files.js';

describeImageFiles('disk', keepOnDisk);
