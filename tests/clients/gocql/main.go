// What an application does with the Go driver's defaults: connects to the hosts that are named, changes the schema and reads it.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/apache/cassandra-gocql-driver/v2"
)

// Of one call, also where others change the schema at the same time.
const limit = 20 * time.Second

var statements = []string{
	"CREATE KEYSPACE gocql WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
	"CREATE TYPE gocql.address (street text, zip int)",
	"CREATE TABLE gocql.t (k int, day date, home frozen<address>, tags map<text, int>, PRIMARY KEY (k, day),)",
	"CREATE INDEX ON gocql.t (tags)",
}

func main() {
	if err := use(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func use(hosts []string) error {
	cluster := gocql.NewCluster(hosts...)
	cluster.Timeout, cluster.ConnectTimeout = limit, limit
	session, err := cluster.CreateSession()
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer session.Close()
	for _, statement := range statements {
		if err := session.Query(statement).Exec(); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	var known int
	if err := session.Query("SELECT count(*) FROM system.peers").Scan(&known); err != nil || known != len(hosts)-1 {
		return fmt.Errorf("%d peers: %w", known, err)
	}
	rows := session.Query("SELECT * FROM gocql.t WHERE k = ? AND day = '2024-01-15'", 1).Iter()
	if err := rows.Close(); err != nil || len(rows.Columns()) != 4 {
		return fmt.Errorf("%d columns: %w", len(rows.Columns()), err)
	}
	ctx, end := context.WithTimeout(context.Background(), limit)
	defer end()
	if err := session.AwaitSchemaAgreement(ctx); err != nil {
		return fmt.Errorf("schema agreement: %w", err)
	}
	return session.Query("DROP KEYSPACE gocql").Exec()
}
