package run

// BuildTags are what every program of ours is built with, by whatever builds them: the Makefile reads them here. Without
// them a program works the same and is a third larger: grpc, which comes with the exporter of traces, brings pages with
// templates, and those find methods by name, so that the linker must keep all there are (ADR 83).
const BuildTags = "grpcnotrace"
