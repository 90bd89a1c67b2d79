package authz_test

import (
	"net/http"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
)

// A customer agrees anew to what they gave a client before. The grant keeps its
// id, under which the bank and its consent records know it, and what the client
// has works until it has fetched its new tokens.
func ExampleDecision_reconsent() {
	records := new(store.Memory) // Config.Store
	grants := &authz.Grants{Issuer: "https://as.bank.example", Store: records, Lister: records}

	// agreed is what the consent page posts to, once Server.Interaction has found
	// the interaction and the session who the customer is.
	agreed := func(w http.ResponseWriter, r *http.Request, in *authz.Interaction, customer string, login time.Time) error {
		d := authz.Decision{
			Subject:  customer,
			AuthTime: login,
			Expires:  time.Now().AddDate(0, 0, 90),
			Grant:    in.Amends, // where the client names the grant, it is that one
		}
		if d.Grant == "" { // otherwise the bank chooses, here the first there is
			given, err := grants.BySubject(r.Context(), customer, "", 100)
			if err != nil {
				return err
			}
			for _, g := range given {
				if g.Client == in.Client.ID {
					d.Grant = g.ID
					break
				}
			}
		}
		return in.Finish(w, r, d) // without a Grant it makes a new one
	}
	_ = agreed
}
