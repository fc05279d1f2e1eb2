// Package filestest is what tests of the files core and of its stores share: fakes that pass the same conformance suites
// as the real adapters (NewCatalog, NewBlobs), the suites themselves (RunCatalog, RunBlobs, RunService), and decorators
// that make a store fail or die at a chosen moment (Fragile).
package filestest
