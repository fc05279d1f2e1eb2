// Package field reads and writes the HTTP header fields that files travel with.
//
// It is grammar only: names in Content-Disposition (RFC 6266, 8187), digests (RFC 9530), entity tags and conditions,
// and byte ranges (RFC 9110). No rule of the service and no request lives here; every function is pure, bounded in
// time by the length of its input, and safe on hostile text.
package field
