package redisstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// failure returns the error of a verb that failed with err. It wraps no more
// than what tells a done context: texts of Redis, of the client and of the
// network name addresses, users and keys.
func failure(verb string, err error) error {
	for _, done := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, done) {
			return fmt.Errorf("redisstore: %s: %w", verb, done)
		}
	}
	return fmt.Errorf("redisstore: %s: %s", verb, reason(err))
}

// reason says in words of our own what went wrong.
func reason(err error) string {
	var (
		reply    redis.Error
		netErr   net.Error
		dnsErr   *net.DNSError
		certErr  *tls.CertificateVerificationError
		hostErr  x509.HostnameError
		alertErr tls.AlertError
		errno    syscall.Errno
	)
	switch {
	case errors.Is(err, redis.ErrClosed):
		return "the client is closed"
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "no connection of the pool became free"
	case errors.As(err, &reply):
		return "Redis answered " + replyCode(reply)
	case errors.As(err, &certErr), errors.As(err, &hostErr):
		return "the server's certificate is not accepted"
	case errors.As(err, &alertErr):
		return "the TLS handshake failed"
	case errors.As(err, &dnsErr):
		return "the server's name is not resolved"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &netErr) && netErr.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the connection was closed"
	}
	return fmt.Sprintf("failed (%T)", err)
}

// replyCode returns the first word of an error reply, such as LOADING. The
// rest of the text may quote what was sent.
func replyCode(reply redis.Error) string {
	code, _, _ := strings.Cut(reply.Error(), " ")
	for i := range len(code) {
		if code[i] < 'A' || code[i] > 'Z' {
			return "with an error"
		}
	}
	if code == "" || len(code) > 20 {
		return "with an error"
	}
	return code
}

// isReply reports whether err is an answer of Redis, rather than none.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}
