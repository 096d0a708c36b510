package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
)

// keep writes every answer to directory as it is served, so that a test can compare what others make of it:
// NUMBER.body, and NUMBER.request with the path and query that was asked for.
func keep(directory string, handler http.Handler) http.Handler {
	var mu sync.Mutex
	number := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		name := filepath.Join(directory, fmt.Sprintf("%03d", number))
		number++
		body, err := os.Create(name + ".body")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		handler.ServeHTTP(&tee{ResponseWriter: w, both: io.MultiWriter(w, body)}, r)
		body.Close()
		os.WriteFile(name+".request", []byte(r.RequestURI), 0o644)
	})
}

type tee struct {
	http.ResponseWriter
	both io.Writer
}

func (t *tee) Write(data []byte) (int, error) { return t.both.Write(data) }
