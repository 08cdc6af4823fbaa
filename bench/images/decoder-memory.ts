import { ApiClient } from '../api-client.ts';
import { inFlight } from '../in-flight.ts';
import { childrenOf, MemoryWatch, peakResidentBytes } from '../process-usage.ts';
import type { Product } from '../product.ts';
import { FIGURE_COLUMNS, figureRow, MEBIBYTE, type Table } from '../report.ts';
import { spreadOf } from '../statistics.ts';
import { distinct, PHOTO_FORMS, type PhotoForm, type Photos } from './pictures.ts';

const AT_ONCE = 2;
const GOAL = { atMost: 410 };

/** The resident memory of the decoding children with two 12-megapixel JPEGs in flight. */
export async function measureDecoderMemory(
  product: Product,
  photos: Photos,
  { rounds, picturesPerRound }: { rounds: number; picturesPerRound: number },
): Promise<Table> {
  const client = await ApiClient.register(product.url);
  const rows: string[][] = [];
  for (const form of PHOTO_FORMS) {
    const sums: number[] = [];
    const bounds: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const { sum, bound } = await peaksOf(form);
      sums.push(sum / MEBIBYTE);
      bounds.push(bound / MEBIBYTE);
    }
    const name = `${form}: greatest sum of both children`;
    rows.push(figureRow({ name, spread: spreadOf(sums), unit: ' MB', goal: GOAL }));
    const boundName = `${form}: sum of the children's own peaks, at whatever moment each`;
    rows.push(figureRow({ name: boundName, spread: spreadOf(bounds), unit: ' MB' }));
  }
  client.close();
  return {
    title: 'Memory of the decoding children',
    note: `Rounds: ${rounds}, each of ${picturesPerRound} pictures with ${AT_ONCE} in flight and with a new worker. Resident memory by /proc every 20 ms, in units of 1,048,576 bytes; the code that the children share counts for each.`,
    columns: FIGURE_COLUMNS,
    rows,
  };

  async function peaksOf(form: PhotoForm): Promise<{ sum: number; bound: number }> {
    await product.worker.restart();
    const { pid } = product.worker;
    const uploads = Array.from({ length: picturesPerRound }, (_, index) =>
      distinct(photos[form][index % photos[form].length] as Buffer),
    );
    const watch = new MemoryWatch(() => childrenOf(pid));
    const images = await inFlight(uploads, AT_ONCE, (file) => client.uploadAndWait(file));
    const sum = watch.stop().peakBytes;
    const bound = childrenOf(pid).reduce((bytes, child) => bytes + peakResidentBytes(child), 0);
    await inFlight(images, AT_ONCE, ({ id }) => client.delete(`/api/v1/images/${id}`));
    return { sum, bound };
  }
}
