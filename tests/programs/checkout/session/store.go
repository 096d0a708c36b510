// Package session keeps the sessions of customers.
package session

import (
	"bytes"
	"sync"
)

// Store holds sessions by id.
type Store struct {
	mu       sync.Mutex
	sessions map[int][]byte
}

// NewStore is an empty store.
func NewStore() *Store { return &Store{sessions: map[int][]byte{}} }

// Put keeps a session. There is no call that forgets one.
func (s *Store) Put(id int, state []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[id] = bytes.Repeat(state, 4) // truth: leak
}
