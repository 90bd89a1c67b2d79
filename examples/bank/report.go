package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A reportFormat is the flag -report: how the report is printed, or "" if there
// is none to print.
type reportFormat string

const (
	reportText reportFormat = "text"
	reportJSON reportFormat = "json"
)

// String implements [flag.Value].
func (f *reportFormat) String() string { return string(*f) }

// Set implements [flag.Value]. The flag alone means text.
func (f *reportFormat) Set(s string) error {
	switch s {
	case "true", string(reportText):
		*f = reportText
	case string(reportJSON):
		*f = reportJSON
	default:
		return errors.New("write -report or -report=json")
	}
	return nil
}

// IsBoolFlag has package flag take -report without a value.
func (f *reportFormat) IsBoolFlag() bool { return true }

// runReport prints what the bank that a file describes is held to, and how its
// clients stand, without serving anybody.
func runReport(name string, format reportFormat, stdout, stderr io.Writer) int {
	_, b, err := checkedBank(name)
	if err != nil {
		return fail(stderr, 2, err)
	}
	report := b.as.Report(b.clients.All()...)
	if format == reportText {
		_, err = fmt.Fprint(stdout, report)
	} else {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	}
	if err != nil {
		return fail(stderr, 1, err)
	}
	return 0
}
