// Package beside lets two waits be one: what a request needs from elsewhere and
// need not wait for in turn is asked for side by side.
package beside

import "errors"

// Do calls f on another goroutine and returns a function that waits for its
// error, to be called once. If f panics, that function does: net/http survives
// a panic on the goroutine of a request, and the process survives one on no
// other.
func Do(f func() error) (wait func() error) {
	type result struct {
		err      error
		panicked any
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("call did not return")} // as after runtime.Goexit
		defer func() {
			r.panicked = recover()
			done <- r
		}()
		r.err = f()
	}()
	return func() error {
		r := <-done
		if r.panicked != nil {
			panic(r.panicked)
		}
		return r.err
	}
}
