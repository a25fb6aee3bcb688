/**
 * The scheduler's history on disk. Needs `node:fs` and `node:zlib`, which the scheduler itself does not.
 *
 * @module
 */
export { FileHistory, type FileHistoryOptions, HistoryFileError } from "./file-history.ts";
