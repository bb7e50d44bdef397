"""The service: flow records from anywhere through Kafka into the detectors, findings out to everyone."""
