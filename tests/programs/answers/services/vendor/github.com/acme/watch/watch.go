// Package watch stands for somebody else's library: what it makes has a goroutine until it is closed.
package watch

import "time"

// Watcher looks for changes until it is closed.
type Watcher struct{ closed chan struct{} }

// New starts a watcher.
func New() *Watcher {
	w := &Watcher{closed: make(chan struct{})}
	go w.loop()
	return w
}

// Close ends it.
func (w *Watcher) Close() { close(w.closed) }

func (w *Watcher) loop() {
	tick := time.NewTimer(24 * time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-w.closed:
			return
		case <-tick.C:
		}
	}
}
