package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A story is what has happened in one browser so far. What has not happened is
// nil. The page and -demo tell it.
type story struct {
	Binding binding
	Pushed  *pushed
	Denied  string // the error code that came back instead of a locker number
	Code    string // the locker number
	Key     *accessKey
	History *history
	Renewed *accessKey
	Thief   []attempt // the thief, then the fintech itself
	Ended   []attempt // the fintech, since the customer may have taken the key back
	Trouble *trouble
}

// Caught reports whether every attempt with the stolen key ended as it should.
func (s *story) Caught() bool {
	for _, a := range s.Thief {
		if !a.Right {
			return false
		}
	}
	return len(s.Thief) > 0
}

// TakenBack reports whether the fintech's key no longer opens anything, nor can
// it be renewed.
func (s *story) TakenBack() bool { return len(s.Ended) == 2 && s.Ended[0].Right && s.Ended[1].Right }

// A trouble is something that did not work.
type trouble struct {
	What   string // message id
	Detail string
}

// An accessKey is an access token, taken apart for those who want to see it.
// (A client has no business reading one: it is for the API.)
type accessKey struct {
	Token   string
	Header  string // JSON, indented
	Claims  string // JSON, indented
	Binding binding
	Bound   string // from its cnf: the hand it was cut for
	Hand    string // the thumbprint of the fintech's certificate or proof key
	Expires time.Time
}

// Fits reports whether the key was cut for the fintech's hand.
func (k *accessKey) Fits() bool { return k.Bound != "" && k.Bound == k.Hand }

// readKey takes an access token apart, without judging it. Hand is what it
// ought to be bound to, and by which binding.
func readKey(t *tokens, how binding, hand string, now time.Time) (*accessKey, error) {
	parts := strings.Split(t.AccessToken, ".")
	if len(parts) != 3 {
		return nil, errors.New("the key is not a JWT")
	}
	var decoded [2]bytes.Buffer
	for i := range decoded {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, fmt.Errorf("the key is not a JWT: %w", err)
		}
		if err := json.Indent(&decoded[i], b, "", "  "); err != nil {
			return nil, fmt.Errorf("the key is not a JWT: %w", err)
		}
	}
	var claims struct {
		Confirmation map[string]any `json:"cnf"`
	}
	if err := json.Unmarshal(decoded[1].Bytes(), &claims); err != nil {
		return nil, err
	}
	bound, _ := claims.Confirmation[how.Member()].(string) // "" fits nobody
	return &accessKey{
		Token: t.AccessToken, Header: decoded[0].String(), Claims: decoded[1].String(),
		Binding: how, Bound: bound, Hand: hand,
		Expires: now.Add(time.Duration(t.ExpiresIn) * time.Second),
	}, nil
}

// A history is what the bank's API answered.
type history struct {
	Account      account
	Transactions []transaction
	Proof        *proof // what went with the request for the transactions, or nil
}

// readHistory reads the answers of /accounts and /transactions.
func readHistory(accounts, transactions *attempt) (*history, error) {
	for _, a := range []*attempt{accounts, transactions} {
		if a.Status != http.StatusOK {
			return nil, &refusal{a.Status, a.Body}
		}
	}
	var list struct {
		Accounts []account `json:"accounts"`
	}
	h := new(history)
	var rows struct {
		Transactions []transaction `json:"transactions"`
	}
	if err := errors.Join(json.Unmarshal([]byte(accounts.Body), &list), json.Unmarshal([]byte(transactions.Body), &rows)); err != nil {
		return nil, err
	}
	if len(list.Accounts) == 0 || len(rows.Transactions) == 0 {
		return nil, errors.New("the history is empty")
	}
	h.Proof = transactions.Proof
	h.Account, h.Transactions = list.Accounts[0], rows.Transactions
	return h, nil
}
