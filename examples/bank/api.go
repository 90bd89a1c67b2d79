package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/token"
)

// An account as the API shows it.
type account struct {
	ID       string            `json:"id"`
	Name     map[string]string `json:"name"` // by language
	Balance  int               `json:"balance"`
	Currency string            `json:"currency"`
}

// A transaction as the API shows it. Amounts are in yen, which has no smaller
// unit.
type transaction struct {
	Date     string            `json:"date"`
	Text     map[string]string `json:"text"` // by language
	Amount   int               `json:"amount"`
	Currency string            `json:"currency"`
}

// entry is a transaction some days ago.
type entry struct {
	daysAgo, amount int
	en, ja          string
}

var entries = []entry{
	{1, -1280, "Bakery", "パン屋"},
	{2, -640, "Coffee", "喫茶店"},
	{4, -4980, "Bookshop", "書店"},
	{6, -9800, "Electricity", "電気料金"},
	{9, 268000, "Salary", "給与"},
	{11, -72000, "Rent", "家賃"},
	{12, -3450, "Greengrocer", "八百屋"},
}

const balance = 182340

// mountAPIs puts the APIs on a listener: the story's two paths, or the
// resources of a -config file.
func (b *bank) mountAPIs(mux *http.ServeMux) {
	for i, a := range b.apis {
		g := b.guards[i]
		if path, document := g.Metadata(); document != nil {
			mux.Handle(path, document)
		}
		if a.path == "" {
			mux.Handle("/accounts", allow(g.Handler(token.Require{Scopes: []string{"accounts"}}, http.HandlerFunc(b.accounts)), http.MethodGet))
			mux.Handle("/transactions", allow(g.Handler(token.Require{Scopes: []string{"transactions"}}, http.HandlerFunc(b.transactions)), http.MethodGet))
			continue
		}
		mux.Handle(a.path, allow(b.guarded(g, a), http.MethodGet, http.MethodPost))
	}
}

// guarded returns the resource behind its verifier: it is reached with a live
// access token that is held by the client it was issued to. Where messages are
// signed, refusals are as well.
func (b *bank) guarded(g *token.Verifier, a api) http.Handler {
	need := token.Require{ACR: a.acr, MaxAge: a.maxAge}
	next := http.HandlerFunc(b.transactions)
	if b.signing == nil {
		return g.Handler(need, next)
	}
	return b.signing.responses.Handler(g.Handler(need, b.signing.requests.Handler(next)))
}

// allow answers methods other than those listed.
func allow(next http.Handler, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (b *bank) accounts(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{"accounts": []account{ordinary()}})
}

// transactions answers with the history of the customer who approved, and with
// what the bank knows about them.
func (b *bank) transactions(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	list := make([]transaction, 0, len(entries))
	for _, e := range entries {
		list = append(list, transaction{
			Date: now.AddDate(0, 0, -e.daysAgo).Format(time.DateOnly),
			Text: map[string]string{"en": e.en, "ja": e.ja}, Amount: e.amount, Currency: "JPY",
		})
	}
	answer := map[string]any{"account": ordinary(), "transactions": list}
	// Without a grant the subject is the client itself, whatever it is called.
	if access, ok := token.FromContext(r.Context()); ok && access.GrantID != "" {
		if u := b.user(access.Subject); u != nil && len(u.claims) > 0 {
			answer["customer"] = u.claims
		}
	}
	writeJSON(w, answer)
}

func ordinary() account {
	return account{ID: "1234567", Name: map[string]string{"en": "Ordinary account", "ja": "普通預金"}, Balance: balance, Currency: "JPY"}
}

func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b) // the caller is gone if this fails
}
