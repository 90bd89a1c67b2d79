package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// outage returns an error that says why a statement failed, without the
// driver's words: those name host, user and database. It wraps only what is as
// discreet.
func outage(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return refusal(answer, err)
	}
	var errno syscall.Errno
	var name *net.DNSError
	switch {
	case errors.As(err, &errno):
		return fmt.Errorf("connection: %w", errno)
	case errors.As(err, &name):
		return errors.New("connection: host not found")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errors.New("connection: closed by the other side")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded): // a setting of the pool
		return errors.New("connection: timeout")
	case isConnection(err):
		return errors.New("connection: cannot be made")
	}
	return fmt.Errorf("driver error of type %T", root(err))
}

// refusal returns an error for what the server answered with, in the server's
// words unless they are about who connects to what: all are that it says before
// there is a connection.
func refusal(answer *pgconn.PgError, err error) error {
	var connect *pgconn.ConnectError
	discreet := !errors.As(err, &connect)
	for _, class := range []string{"08", "28", "3D"} { // connection, authorization, database name
		discreet = discreet && !strings.HasPrefix(answer.Code, class)
	}
	if !discreet {
		return errors.New("connection: refused, SQLSTATE " + answer.Code)
	}
	return answer
}

// isConnection reports whether err is about a connection rather than about
// what was sent over it.
func isConnection(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err)
}

// root returns the error that the others wrap.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
