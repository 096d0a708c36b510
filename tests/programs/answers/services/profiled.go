//go:build !unprofiled

package main

import "runtime"

// Makes the linker keep heap profiling.
func init() { runtime.MemProfile(nil, false) }
