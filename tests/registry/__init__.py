"""The worker and a real schema registry: Apicurio, through the API that it shares with Confluent's."""
