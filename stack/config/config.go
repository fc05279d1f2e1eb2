// Package config carries the development resources, so that the stack can start where there is no configuration folder.
package config

import "embed"

// Files holds the *.yaml of this folder.
//
//go:embed *.yaml
var Files embed.FS
