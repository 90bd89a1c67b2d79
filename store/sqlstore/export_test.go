package sqlstore

import "database/sql"

// What the server is asked to explain.
var (
	ListSQL  = postgresSQL.list
	SweepSQL = postgresSQL.sweep
)

// Writer returns the connection that s, on a file, writes through.
func Writer(s *Store) *sql.DB { return s.db.(*sqlite).writer }
