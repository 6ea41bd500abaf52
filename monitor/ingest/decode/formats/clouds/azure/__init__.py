"""Azure Monitor's resource logs: API Management and Azure OpenAI."""
