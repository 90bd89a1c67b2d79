package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// A listener is a socket and what answers there.
type listener struct {
	net.Listener
	tls     *tls.Config
	handler http.Handler
}

// serve answers on all listeners until ctx ends, then lets what is under way
// finish. It closes the listeners. What servers complain about goes to errs.
func serve(ctx context.Context, errs io.Writer, listeners ...listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var servers []*http.Server
	done := make(chan struct{}, len(listeners))
	for _, l := range listeners {
		s := &http.Server{
			Handler:           l.handler,
			TLSConfig:         l.tls,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       15 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    32 << 10,
			ErrorLog:          log.New(errs, "", log.LstdFlags),
		}
		servers = append(servers, s)
		go func() {
			defer func() { done <- struct{}{} }()
			if err := s.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		}()
	}
	<-ctx.Done()
	failed := context.Cause(ctx)

	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer stop()
	var stopping sync.WaitGroup
	for _, s := range servers {
		stopping.Go(func() {
			if s.Shutdown(grace) != nil {
				_ = s.Close() // somebody keeps a connection open; enough
			}
		})
	}
	stopping.Wait()
	for range servers {
		<-done
	}
	if errors.Is(failed, context.Canceled) {
		return nil
	}
	return failed
}
