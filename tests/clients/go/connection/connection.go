// Package connection reads a client's input and prints its output, as tests/clients/conftest.py expects.
package connection

import (
	"encoding/json"
	"fmt"
	"os"
)

// URL is the address of the server's REST API, Model the model's name. Most clients ask for a
// key, which a server without keys ignores.
var (
	URL   = os.Getenv("REJOINDER_URL")
	Model = os.Getenv("REJOINDER_MODEL")
	Key   = "any"
)

// Texts returns the texts to embed, from the standard input.
func Texts() []string {
	var texts []string
	Check(json.NewDecoder(os.Stdin).Decode(&texts))
	return texts
}

// Print prints the vectors that each use of the client received.
func Print(uses map[string]any) {
	Check(json.NewEncoder(os.Stdout).Encode(uses))
}

// Check ends the program with the error, if there is one.
func Check(err error) {
	if err != nil {
		Fail("%v", err)
	}
}

// Fail ends the program with a message.
func Fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}
