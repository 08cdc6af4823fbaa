import { describeImageUpkeep } from './image-upkeep-suite.js';
import { keepOnDisk } from './kept-files.js';

describeImageUpkeep('disk', keepOnDisk);
