import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import com.google.gson.Gson;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Base64;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.avro.message.RawMessageEncoder;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Time;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.json.JsonConverter;

/** One message by serializers of Java, a line each: their names, and values, headers (none) and schemas in base64. */
public final class Serializers {
  private static final Date MOMENT = Date.from(Instant.parse("2026-03-04T04:06:07.890Z"));

  public static void main(String[] arguments) throws Exception {
    Map<String, Object> message = new LinkedHashMap<>();
    message.put("type", "track");
    message.put("userId", 42);
    message.put("event", "Serialized");
    message.put("timestamp", MOMENT);
    message.put("properties", Map.of("whole", 42));
    ObjectMapper jackson = new ObjectMapper();
    show("Jackson", jackson.writeValueAsBytes(message));
    message.put("timestamp", MOMENT.toInstant());
    ObjectMapper ofTimes = new ObjectMapper().registerModule(new JavaTimeModule());
    show("Jackson with JavaTimeModule", ofTimes.writeValueAsBytes(message));
    show("Jackson with times as text", ofTimes.disable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS).writeValueAsBytes(message));
    message.put("timestamp", MOMENT);
    show("Gson", new Gson().toJson(message).getBytes(StandardCharsets.UTF_8));
    message.put("timestamp", MOMENT.getTime());
    Gson gson = new Gson();
    show("Gson, after reading", gson.toJson(gson.fromJson(gson.toJson(message), Map.class)).getBytes(StandardCharsets.UTF_8));
    connect();
    avro(Files.readString(Path.of(arguments[0])));
  }

  private static void connect() throws Exception {
    org.apache.kafka.connect.data.Schema properties = SchemaBuilder.struct()
        .field("whole", SchemaBuilder.INT32_SCHEMA)
        .field("decimal", Decimal.schema(2))
        .field("single", SchemaBuilder.FLOAT32_SCHEMA)
        .field("day", org.apache.kafka.connect.data.Date.SCHEMA)
        .field("clock", Time.SCHEMA)
        .field("moment", Timestamp.SCHEMA)
        .field("bytes", SchemaBuilder.BYTES_SCHEMA)
        .field("nothing", SchemaBuilder.OPTIONAL_STRING_SCHEMA)
        .build();
    Struct typed = new Struct(properties).put("whole", 42).put("decimal", new BigDecimal("12.30")).put("single", 12.34f)
        .put("day", Date.from(Instant.parse("2026-03-04T00:00:00Z"))).put("clock", Date.from(Instant.parse("1970-01-01T05:06:07Z")))
        .put("moment", MOMENT).put("bytes", new byte[] {1, 2});
    org.apache.kafka.connect.data.Schema schema = SchemaBuilder.struct()
        .field("type", SchemaBuilder.STRING_SCHEMA)
        .field("userId", SchemaBuilder.STRING_SCHEMA)
        .field("event", SchemaBuilder.STRING_SCHEMA)
        .field("timestamp", Timestamp.SCHEMA)
        .field("properties", properties)
        .build();
    Struct message = new Struct(schema).put("type", "track").put("userId", "42").put("event", "Serialized")
        .put("timestamp", MOMENT).put("properties", typed);
    for (boolean withSchemas : new boolean[] {false, true}) {
      try (JsonConverter converter = new JsonConverter()) {
        converter.configure(Map.of("schemas.enable", withSchemas), false);
        show("Connect's JsonConverter" + (withSchemas ? " with schemas" : ""), converter.fromConnectData("t", schema, message));
      }
    }
  }

  private static void avro(String text) throws Exception {
    Schema schema = new Schema.Parser().parse(text);
    GenericData.Record message = new GenericData.Record(schema);
    message.put("type", "track");
    message.put("userId", "42");
    message.put("event", "Serialized");
    message.put("timestamp", MOMENT.getTime());
    message.put("properties", Map.of("whole", 42L));
    show("Avro, BinaryMessageEncoder", bytes(new BinaryMessageEncoder<>(GenericData.get(), schema).encode(message)), text);
    show("Avro, RawMessageEncoder", bytes(new RawMessageEncoder<>(GenericData.get(), schema).encode(message)));
  }

  private static byte[] bytes(ByteBuffer buffer) {
    byte[] found = new byte[buffer.remaining()];
    buffer.get(found);
    return found;
  }

  private static void show(String name, byte[] value) {
    show(name, value, "");
  }

  private static void show(String name, byte[] value, String schema) {
    Base64.Encoder base64 = Base64.getEncoder();
    String registered = base64.encodeToString(schema.getBytes(StandardCharsets.UTF_8));
    System.out.println(String.join("\t", name, base64.encodeToString(value), "", registered));
  }
}
