// Package snapshot keeps what batch runs found: in go cells and imported rows in the order of their IDs, out comes a profile.History that
// is looked up in memory-mapped files.
//
// A snapshot is immutable. It is a manifest, NUMBER.json, that lists Arrow files; CURRENT names the manifest that counts. A new snapshot
// shares the files of the one before and adds a delta; when there are many deltas, they become one file with the base again. FORMAT.md
// describes the files for readers in other languages.
package snapshot
