import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { JobRefusal } from './job-errors.js';
import type { JobDefinition } from './job.js';
import type { WorkRow } from './work-row.js';

/**
 * Writes what else ends with work that has failed for good, in the transaction that says so.
 *
 * @param refusal what ended it; undefined for a fault of ours
 */
type WriteFailure<Row extends WorkRow> = (
  row: Row,
  em: EntityManager,
  refusal: JobRefusal | undefined,
) => Promise<void>;

/**
 * The jobs of this process. A doubled or unknown job stops the boot: it would otherwise lie in a
 * queue that nobody works on.
 */
@Injectable()
export class JobRegistry implements OnApplicationBootstrap {
  private readonly jobs = new Map<string, JobDefinition>();
  private readonly handled = new Set<string>();
  private readonly failures = new Map<string, WriteFailure<never>>();

  /** @throws Error when another definition has the same name */
  define(job: JobDefinition): void {
    const known = this.jobs.get(job.name);
    if (known && known !== job) throw new Error(`The job ${job.name} is defined twice`);
    this.jobs.set(job.name, job);
  }

  /** @throws Error when the job has a processor already */
  handle(job: JobDefinition): void {
    if (this.handled.has(job.name)) throw new Error(`The job ${job.name} has two processors`);
    this.handled.add(job.name);
  }

  /** What else to write when a row of this job has failed for good. @throws Error the second time */
  whenFailed<Row extends WorkRow>(job: JobDefinition<Row>, write: WriteFailure<Row>): void {
    if (this.failures.has(job.name)) throw new Error(`${job.name} says twice what fails with it`);
    this.failures.set(job.name, write);
  }

  /** Writes that, when there is anything. */
  async writeFailure(
    em: EntityManager,
    { name }: JobDefinition,
    row: WorkRow,
    refusal?: JobRefusal,
  ): Promise<void> {
    await this.failures.get(name)?.(row as never, em, refusal);
  }

  /** Whether this process works on jobs, rather than only handing them over. */
  get isWorkedOn(): boolean {
    return this.handled.size > 0;
  }

  find(name: string): JobDefinition | undefined {
    return this.jobs.get(name);
  }

  list(): JobDefinition[] {
    return [...this.jobs.values()];
  }

  /** @throws Error when a processor, in a process that has any, works on an undefined job, or a job has none */
  onApplicationBootstrap(): void {
    const unknown = [...this.handled].filter((name) => !this.jobs.has(name));
    if (unknown.length > 0) throw new Error(`Processors of unknown jobs: ${unknown.join(', ')}`);
    const idle = [...this.jobs.keys()].filter((name) => !this.handled.has(name));
    if (this.handled.size > 0 && idle.length > 0) {
      throw new Error(`Jobs without a processor: ${idle.join(', ')}`);
    }
  }
}
