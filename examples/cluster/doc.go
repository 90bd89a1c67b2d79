// Package cluster holds no code. Its tests run several server processes on one
// database and prove that together they keep the promises of one. The README
// beside this file tells what is proven and how to run it.
package cluster
