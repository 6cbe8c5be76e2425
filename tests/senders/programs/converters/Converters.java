import io.apicurio.registry.utils.converter.AvroConverter;
import io.apicurio.registry.utils.converter.ExtJsonConverter;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.storage.Converter;

/** One message by Apicurio's converters, with the registry that is named, a line each: names, values and headers. */
public final class Converters {
  public static void main(String[] arguments) throws Exception {
    Schema properties = SchemaBuilder.struct().field("whole", Schema.INT32_SCHEMA).build();
    Schema schema = SchemaBuilder.struct().name("example.tea.Track")
        .field("type", Schema.STRING_SCHEMA)
        .field("userId", Schema.STRING_SCHEMA)
        .field("event", Schema.STRING_SCHEMA)
        .field("timestamp", Timestamp.SCHEMA)
        .field("properties", properties)
        .build();
    Struct message = new Struct(schema).put("type", "track").put("userId", "42").put("event", "Serialized")
        .put("timestamp", Date.from(Instant.parse("2026-03-04T04:06:07.890Z")))
        .put("properties", new Struct(properties).put("whole", 42));
    Map<String, Object> settings = Map.of("apicurio.registry.url", arguments[0], "apicurio.registry.auto-register", true);
    show("Apicurio 2, AvroConverter", new AvroConverter<>(), settings, schema, message);
    show("Apicurio 2, ExtJsonConverter", new ExtJsonConverter(), settings, schema, message);
    System.exit(0);
  }

  private static void show(String name, Converter converter, Map<String, Object> settings, Schema schema, Struct message) {
    converter.configure(new HashMap<>(settings), false);  // one of them adds its own
    RecordHeaders headers = new RecordHeaders();
    String value = base64(converter.fromConnectData("converted", headers, schema, message));
    List<String> shown = new ArrayList<>();
    for (Header header : headers) {
      shown.add(header.key() + "=" + base64(header.value()));
    }
    System.out.println(String.join("\t", name, value, String.join(",", shown)));
  }

  private static String base64(byte[] bytes) {
    return Base64.getEncoder().encodeToString(bytes);
  }
}
