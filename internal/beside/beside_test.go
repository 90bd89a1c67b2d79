package beside_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/aikagi/aikagi/internal/beside"
)

func TestDo(t *testing.T) {
	down := errors.New("down")
	for _, want := range []error{nil, down} {
		if err := beside.Do(func() error { return want })(); err != want {
			t.Errorf("Do: %v, want %v", err, want)
		}
	}
	t.Run("it runs beside its caller", func(t *testing.T) {
		hand := make(chan bool)
		wait := beside.Do(func() error { hand <- true; return nil })
		<-hand
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a panic is the waiter's", func(t *testing.T) {
		wait := beside.Do(func() error { panic(down) })
		defer func() {
			if got := recover(); got != down {
				t.Errorf("recovered %v", got)
			}
		}()
		t.Errorf("wait returned %v", wait())
	})
	t.Run("what never returns has failed", func(t *testing.T) {
		if err := beside.Do(func() error { runtime.Goexit(); return nil })(); err == nil {
			t.Error("no error")
		}
	})
}
