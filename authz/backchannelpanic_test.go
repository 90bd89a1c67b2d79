package authz_test

import (
	"context"
	"testing"

	"github.com/aikagi/aikagi/authz"
)

// TestNotifyLogoutPanics: a registry that panics does so on the goroutine of
// who asked, where a host can recover, and does not take the process along.
func TestNotifyLogoutPanics(t *testing.T) {
	b := newBank(t, nil, func(c *authz.Config) { c.Clients = panicking{} })
	defer func() {
		if recover() == nil {
			t.Error("the panic went elsewhere")
		}
	}()
	_ = b.srv.NotifyLogout(t.Context(), customer, "session-1", "kakeibo")
}

type panicking struct{}

func (panicking) Client(context.Context, string) (*authz.Client, error) { panic("registry") }
