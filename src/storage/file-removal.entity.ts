import { defineEntity, p } from '@mikro-orm/core';

const FileRemovalSchema = defineEntity({
  name: 'FileRemoval',
  tableName: 'file_removals',
  comment: 'Files to remove from storage, written in the transaction that gave them up',
  properties: {
    id: p.uuid().primary(),
    /** One key, or with a slash at its end all keys below it. */
    target: p.string().length(200).index(),
    dueAt: p.datetime(3).index(),
  },
});

/** Due after the grace for those who still read, or when what stored the file must have ended. */
export class FileRemoval extends FileRemovalSchema.class {}
FileRemovalSchema.setClass(FileRemoval);
