package authz

import "time"

// Hurry makes s give up on a client that does not answer after d, and try again
// at once, before anything is asked of one.
func (s *Server) Hurry(d time.Duration) { s.outward.Timeout, s.retryIn = d, 0 }
