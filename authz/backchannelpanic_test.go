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

// TestNotifyLogoutPanicsForOne: the others are told nonetheless.
func TestNotifyLogoutPanicsForOne(t *testing.T) {
	l := newBell(t)
	p := newParted(t, clients(l.rings(keyClient("two"))), l.reachable, func(c *authz.Config) { c.Clients = panickingFor{"one", c.Clients} })
	t.Run("BCL-3 one panics, the other is told", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("the panic went elsewhere")
			}
			if n := len(l.told("two")); n != 1 {
				t.Errorf("told %d times", n)
			}
		}()
		_ = p.srv.NotifyLogout(t.Context(), customer, session, "one", "two")
	})
}

// panickingFor is a registry that panics for one client.
type panickingFor struct {
	id string
	authz.ClientRegistry
}

func (r panickingFor) Client(ctx context.Context, id string) (*authz.Client, error) {
	if id == r.id {
		panic("registry")
	}
	return r.ClientRegistry.Client(ctx, id)
}

type panicking struct{}

func (panicking) Client(context.Context, string) (*authz.Client, error) { panic("registry") }
