// Package history stands for somebody else's library: it keeps what it is given.
package history

// Log keeps copies.
type Log struct{ entries [][]byte }

// Append keeps a copy of an entry.
//
//go:noinline
func (l *Log) Append(entry []byte) {
	kept := make([]byte, len(entry))
	copy(kept, entry)
	l.entries = append(l.entries, kept)
}
